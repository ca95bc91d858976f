package net.sf.json;

import java.util.ArrayList;
import java.util.Collection;

/** What Jenkins answers of several things, such as a build's causes. */
public final class JSONArray extends ArrayList<Object> {
    private static final long serialVersionUID = 1;

    public JSONArray(Collection<?> from) {
        super(from);
    }
}
