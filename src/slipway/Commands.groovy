package slipway

/** Commands that both pipelines run; what they need comes by the environment. */
class Commands implements Serializable {
    private static final long serialVersionUID = 1L

    /** The login becomes a file for the moment in which the pull secret is made. */
    static final String DEPLOY = '''
        docker=$(mktemp -d) && printf '{"auths":{"%s":{"auth":"%s"}}}' "$REGISTRY" "$(printf '%s:%s' "$REGISTRY_USERNAME" "$REGISTRY_PASSWORD" | base64 | tr -d '\\n')" > "$docker/config.json"
        deploy-image -n "$NAMESPACE" "deployment/$DEPLOYMENT" --image "$IMAGE" --pull-secret nexus-pull --docker-config "$docker/config.json" --record "build=$BUILD_URL" --record "commit=$COMMIT"
        code=$?; rm -rf "$docker"; (exit $code)'''
}
