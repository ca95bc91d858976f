package dev.slipway.runner.site;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** What is configured for the whole site and for the folders that a job is in, each by its name: the nearest folder wins. */
final class Levels<T> {
    private final List<Map<String, T>> nearestFirst = new ArrayList<>();

    /** So many folders are around the job. */
    Levels(int folders) {
        for (int i = 0; i <= folders; i++) {
            nearestFirst.add(new LinkedHashMap<>());
        }
    }

    /** The level is 0 for the whole site, 1 for the outermost folder. What is put later replaces what has the same name there. */
    void put(int level, String name, T value) {
        of(level).put(name, value);
    }

    Map<String, T> of(int level) {
        return nearestFirst.get(nearestFirst.size() - 1 - level);
    }

    /** Changes what has this name, at each level. */
    void change(String name, UnaryOperator<T> change) {
        nearestFirst.forEach(level -> level.computeIfPresent(name, (same, each) -> change.apply(each)));
    }

    /** Null where no level has it. */
    T nearest(String name) {
        return nearestFirst.stream().map(level -> level.get(name)).filter(found -> found != null).findFirst().orElse(null);
    }

    /** Those of the folders, the nearest folder's first. */
    List<T> ofFolders() {
        return nearestFirst.subList(0, nearestFirst.size() - 1).stream().flatMap(level -> level.values().stream()).toList();
    }
}
