package slipway

/** How a run takes back what it began, and only that. */
class Undo implements Serializable {
    private static final long serialVersionUID = 1L

    static final String CANARY = 'canary-weight abort --own -n "$NAMESPACE" --app "$APP" --stable "$STABLE" --canary "$CANARY" --router "$ROUTER"'
}
