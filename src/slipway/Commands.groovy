package slipway

/** What runs in the helpers' container, and the builders' own. Everything that differs comes by the environment. */
class Commands implements Serializable {
    private static final long serialVersionUID = 1L

    private static final String NAMES = '-n "$NAMESPACE" --app "$APP" --stable "$STABLE" --canary "$CANARY" --router "$ROUTER" --run "$RUN"'

    private static final String WOULD_CHANGE = '''
        now=$(deploy-image -n "$NAMESPACE" "deployment/$STABLE" --image "$IMAGE" --dry-run) || { code=$?; echo "$now"; exit $code; }
        '''

    /** The newest image with its evidence, or the one that was asked for. */
    static final String FIND = 'nexus-latest-tag "$REPOSITORY" --require scan --require staging-verified ${IMAGE_TAG:+--at "$IMAGE_TAG"}'

    /** What production runs now, and the commits between: a tag of another digest says nothing about them. */
    static final String COMPARE = WOULD_CHANGE + '''
        echo "$now"
        from=$(echo "$now" | sed -n 's/^FROM=//p')
        tag=${from%@*}
        known=$(nexus-latest-tag "$REPOSITORY" --at "${tag##*:}" --allow-unverified 2>/dev/null) || known=
        case "$known" in
          *"DIGEST=${from##*@}"*) previous=$(echo "$known" | sed -n 's/^REVISION=//p') ;;
          *) previous= ;;
        esac
        echo "FROM_COMMIT=$previous"
        if [ -n "$previous" ]; then
          echo "COMMITS=$(git log --no-merges --max-count=30 --format='%h %an: %s' "$previous..$COMMIT" 2>/dev/null | tr '\\n' '|')"
          echo "TAKEN_BACK=$(git log --no-merges --max-count=30 --format='%h %an: %s' "$COMMIT..$previous" 2>/dev/null | tr '\\n' '|')"
        fi'''

    /** The commit that last touched the folder of migrations, if there ever was one. */
    static final String LAST_MIGRATION = 'echo "LAST=$(git log -1 --format=%h -- "$SLIPWAY_MIGRATIONS")"'

    static final String PLAN = 'migrate-diff plan'
    static final String APPLY = 'migrate-diff apply'

    /** The login never becomes a file, which a stopped run would leave behind. */
    static final String DEPLOY = '''
        login=$(printf '%s:%s' "$REGISTRY_USERNAME" "$REGISTRY_PASSWORD" | base64 | tr -d '\\n')
        printf '{"auths":{"%s":{"auth":"%s"}}}' "$REGISTRY" "$login" |
        deploy-image -n "$NAMESPACE" "deployment/$DEPLOYMENT" --image "$IMAGE" ${FIRST_REPLICAS:+--replicas "$FIRST_REPLICAS" --record "replicas=$FIRST_REPLICAS"} --pull-secret nexus-pull --docker-config /dev/stdin \\
          --record "build=$RUN" --record "commit=$COMMIT" ${PLAN_ID:+--record "plan=$PLAN_ID"} ${SHARE:+--record "canary-share=$SHARE"} \\
          ${MIGRATION_APPROVER:+--record "migration-approved-by=$MIGRATION_APPROVER"} ${APPROVER:+--record "approved-by=$APPROVER"}'''

    /** Another run's canary is never touched; one that a dead run left behind is taken back first. */
    static final String CANARY_IMAGE = '''
        left=$(canary-weight abort --expired ''' + NAMES + ''') || { code=$?; echo "$left"; exit $code; }
        echo "$left" | sed -n 's/^NOTE=/canary: /p' >&2
        held=$(canary-weight get ''' + NAMES + ''') || { code=$?; echo "$held"; exit $code; }
        holder=$(echo "$held" | sed -n 's/^RUN=//p')
        if [ -n "$holder" ] && [ "$holder" != "$RUN" ]; then
          echo "ERROR_MESSAGE=another run holds the traffic of $APP: $holder"
          echo "ERROR_HINT=let it finish, or undo it: canary-weight abort -n $NAMESPACE --app $APP"
          exit 4
        fi
        rollout-wait -n "$NAMESPACE" "deployment/$STABLE" --timeout 5m --mark-good''' + DEPLOY

    static final String CANARY_SET = 'canary-weight set "$WEIGHT" --max-extra "$MAX_EXTRA" --expires "$EXPIRES" ' + NAMES

    static final String CANARY_HOLD = 'rollout-wait -n "$NAMESPACE" "deployment/$CANARY" --image "$IMAGE" --hold "$HOLD"'

    /** The analysis' page, in the agent's workspace. */
    static final String REPORT = 'canary-report.html'

    static final String CANARY_ANALYZE = '''
        rollout-wait -n "$NAMESPACE" "deployment/$CANARY" --image "$IMAGE" --timeout 2m
        code=0
        canary-weight analyze ''' + NAMES + ''' --duration "$DURATION" --interval "$INTERVAL" --min-requests "$LEAST" --report ''' + REPORT + ''' || code=$?
        if [ "$code" = 1 ]; then echo 'ERROR_HINT=read the last lines of its pod above, and ''' + REPORT + ''' among the artifacts'; fi
        exit "$code"'''

    /** While the approval waited, somebody may have changed stable. */
    private static final String STILL = WOULD_CHANGE + '''
        from=$(echo "$now" | sed -n 's/^FROM=//p')
        if [ "$from" != "$FROM" ]; then
          echo "ERROR_MESSAGE=deployment/$STABLE was changed while the approval waited: it has $from, and $FROM was what the approval named"
          echo 'ERROR_HINT=see who did, then run the pipeline again'
          exit 4
        fi'''

    /** The canary may have died meanwhile, too. */
    static final String PROMOTE = '''
        canary-weight verify "$WEIGHT" ''' + NAMES + '''
        rollout-wait -n "$NAMESPACE" "deployment/$CANARY" --image "$IMAGE" --timeout 1m''' + STILL + DEPLOY

    static final String PROMOTE_FIRST = STILL + '''
        FIRST_REPLICAS=$REPLICAS''' + DEPLOY

    static final String ROLLOUT = 'rollout-wait -n "$NAMESPACE" "deployment/$STABLE" --image "$IMAGE" --mark-good'

    /** An API server that is away for a moment, or a helper that was killed, is no reason to leave something half undone. */
    private static final String AGAIN = '''
        again() {
          for pause in 10 20 30; do
            code=0
            "$@" || code=$?
            if [ "$code" != 3 ] && [ "$code" -le 128 ]; then return "$code"; fi
            sleep "$pause"
          done
          return "$code"
        }
        '''

    /** Only what this run put there: a newer run's image is left alone. */
    static final String STABLE_BACK = AGAIN + 'again rollout-wait -n "$NAMESPACE" "deployment/$STABLE" --undo --undo-from "$IMAGE" --timeout 5m'

    /** Before a first release there was no pod, and no good revision that could be gone back to. */
    static final String FIRST_BACK = AGAIN + '''
        now=$(again deploy-image -n "$NAMESPACE" "deployment/$STABLE" --image "$IMAGE" --dry-run) || { code=$?; echo "$now"; exit $code; }
        [ "$(echo "$now" | sed -n 's/^FROM=//p')" = "$IMAGE" ] || exit 4
        again deploy-image -n "$NAMESPACE" "deployment/$STABLE" --image "$IMAGE" --replicas 0'''

    static final String CANARY_BACK = AGAIN + 'again canary-weight abort --own ' + NAMES

    static final String STAGING_ROLLOUT = 'rollout-wait -n "$NAMESPACE" "deployment/$DEPLOYMENT" --image "$IMAGE" --rollback --mark-good'

    /** The evidence is about this digest: it must still be what answered. */
    static final String SMOKE_TEST = '''
        body=$(mktemp)
        trap 'rm -f "$body"' EXIT
        curl --silent --show-error --fail --max-time 20 --retry 3 --retry-connrefused "http://$DEPLOYMENT.$NAMESPACE.svc.cluster.local$SMOKE_PATH" > "$body" || {
          code=$?
          echo "ERROR_MESSAGE=http://$DEPLOYMENT.$NAMESPACE$SMOKE_PATH does not answer (curl: $code)"
          rollout-wait -n "$NAMESPACE" "deployment/$DEPLOYMENT" --logs --timeout 1m -o text >&2 || true
          echo "ERROR_HINT=read the last lines of its pod above; the parameter smokePath says what is asked"
          exit 1
        }
        rollout-wait -n "$NAMESPACE" "deployment/$DEPLOYMENT" --image "$IMAGE" --timeout 1m
        image-evidence add --type staging-verified --file "$body" "$IMAGE"'''

    /** What both builders are told: before KANIKO, or BUILDAH. */
    static final String BUILD = '''
        mkdir -p "$WORKSPACE_TMP"
        set -- --build-arg "VERSION=$TAG" --build-arg "COMMIT=$COMMIT" --label "org.opencontainers.image.version=$TAG" --label "org.opencontainers.image.revision=$COMMIT"
        if [ -n "${PIP_INDEX_URL:-}" ]; then set -- "$@" --build-arg "PIP_INDEX_URL=$PIP_INDEX_URL" --build-arg "PIP_TRUSTED_HOST=$PIP_TRUSTED_HOST"; fi
        '''

    static final String KANIKO = '''
        for pair in $(echo "$BASE_IMAGES" | tr , ' '); do set -- "$@" --registry-map "$pair" --registry-map "index.$pair"; done
        PATH="$PATH:/kaniko" executor --log-format text --verbosity warn --context "dir://$WORKSPACE" --no-push --tar-path "$WORKSPACE_TMP/image.tar" --destination "$TARGET" "$@"
        chmod a+r "$WORKSPACE_TMP/image.tar"
        '''

    /**
     * Without privileges: a chroot instead of a container, folders instead of mounts. A mirror
     * on a private address may speak plain HTTP, as Kaniko too has it.
     */
    static final String BUILDAH = '''
        storage=$WORKSPACE_TMP/buildah
        mkdir -p "$storage"
        export CONTAINERS_REGISTRIES_CONF="$storage/registries.conf"
        {
          echo 'unqualified-search-registries = ["docker.io"]'
          for pair in $(echo "$BASE_IMAGES" | tr , ' '); do
            case "${pair#*=}" in
              localhost* | 127.* | 10.* | 192.168.* | 172.1[6-9].* | 172.2[0-9].* | 172.3[01].*) insecure=true ;;
              *) insecure=false ;;
            esac
            printf '[[registry]]\\nprefix = "%s"\\nlocation = "%s"\\ninsecure = %s\\n' "${pair%%=*}" "${pair#*=}" "$insecure"
          done
        } > "$CONTAINERS_REGISTRIES_CONF"
        buildah="buildah --root $storage/root --runroot $storage/run --storage-driver vfs"
        $buildah build --quiet --isolation chroot --format docker --tag "$TARGET" "$@" "$WORKSPACE"
        rm -f "$WORKSPACE_TMP/image.tar"
        $buildah push --quiet "$TARGET" "docker-archive:$WORKSPACE_TMP/image.tar:$TARGET"
        chmod a+r "$WORKSPACE_TMP/image.tar"
        '''
}
