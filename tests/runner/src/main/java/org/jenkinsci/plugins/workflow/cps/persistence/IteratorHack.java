package org.jenkinsci.plugins.workflow.cps.persistence;

import java.io.Serializable;
import java.util.AbstractMap;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Set;

/**
 * Iterators and views of collections that can be written to disk, in place of
 * Java's own, which cannot (JENKINS-27421). The names are those that Jenkins
 * shows when what they hold cannot be written.
 */
public final class IteratorHack {
    private IteratorHack() {}

    private static final class Itr<E> implements Iterator<E>, Serializable {
        private static final long serialVersionUID = 1;
        private final List<E> list;
        private int cursor;

        Itr(List<E> list) {
            this.list = list;
        }

        @Override
        public boolean hasNext() {
            return cursor < list.size();
        }

        @Override
        public E next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            return list.get(cursor++);
        }

        @Override
        public void remove() {
            list.remove(--cursor);
        }
    }

    public static <E> Iterator<E> iterator(List<E> list) {
        return new Itr<>(list);
    }

    public static <E> Iterator<E> iterator(Set<E> set) {
        return new Itr<>(new ArrayList<>(set));
    }

    public static <E> Iterator<E> iterator(E[] array) {
        return new Itr<>(new ArrayList<>(List.of(array)));
    }

    public static <K, V> Set<Map.Entry<K, V>> entrySet(Map<K, V> map) {
        Set<Map.Entry<K, V>> entries = new LinkedHashSet<>();
        map.entrySet().forEach(entry -> entries.add(new AbstractMap.SimpleImmutableEntry<>(entry)));
        return entries;
    }

    public static <K> Set<K> keySet(Map<K, ?> map) {
        return new LinkedHashSet<>(map.keySet());
    }

    public static <V> Collection<V> values(Map<?, V> map) {
        return new ArrayList<>(map.values());
    }
}
