package slipway

/**
 * The arguments of what runs in the containers. What differs comes by the environment; what
 * is decided is decided by the program. The constants are literals: one that read another
 * would end an untrusted library before its first line.
 */
class Commands implements Serializable {
    private static final long serialVersionUID = 1L

    static final String FIND = 'slipway phase find --at "$IMAGE_TAG" "$REPOSITORY"'

    static final String COMPARE = 'slipway phase compare --image "$IMAGE" --commit "$COMMIT" --replicas "$REPLICAS"' +
        ' --started-by "$STARTED_BY" --approvers "$APPROVERS" --weight "$WEIGHT" --hold "$HOLD" --prometheus "$PROMETHEUS"' +
        ' --duration "$DURATION" --min-requests "$LEAST" "$REPOSITORY"'

    static final String PLAN = 'slipway phase plan --optional="$OPTIONAL" --image "$IMAGE"'

    static final String APPLY = 'slipway migrate-diff apply --timeout "$LONGEST" --statement-timeout "$LONGEST"'

    static final String MIGRATE = 'slipway phase migrate --optional="$OPTIONAL" --timeout "$LONGEST"'

    static final String PUSH = 'slipway nexus-push --tar "$WORKSPACE_TMP/image.tar" --evidence "scan=$WORKSPACE_TMP/trivy.json"' +
        ' --evidence "sbom=$WORKSPACE_TMP/sbom.json" --scanner "$WORKSPACE_TMP/trivy-version.json" --scan-max-age "$SCAN_AGE"' +
        ' --severity "$SEVERITY" --waivers "/etc/slipway/policy/waivers.yaml" --waivers "slipway-waivers.yaml"' +
        ' --require-revision "$COMMIT" --mount-from "$MOUNT_FROM" "$TARGET"'

    /** In the build's pod: what crosses from there to the pod that delivers. */
    static final String QUARANTINE = 'slipway nexus-push --tar "$WORKSPACE_TMP/image.tar" --force "$TARGET"'

    static final String FETCH = 'slipway phase fetch --tar "$WORKSPACE_TMP/image.tar" "$IMAGE"'

    static final String GATE = 'slipway phase gate --tar "$WORKSPACE_TMP/image.tar" --report "$WORKSPACE_TMP/trivy.json"' +
        ' --scanner "$WORKSPACE_TMP/trivy-version.json" --scan-max-age "$SCAN_AGE"' +
        ' --severity "$SEVERITY" --waivers "/etc/slipway/policy/waivers.yaml" --waivers "slipway-waivers.yaml"'

    static final String DEPLOY = 'slipway phase deploy --image "$IMAGE" --run "$RUN" --smoke "$SMOKE_URL"' +
        ' --record "build=$RUN" --record "commit=$COMMIT" --record "plan=$PLAN_ID"'

    static final String CANARY = 'slipway phase canary --image "$IMAGE" --run "$RUN" --max-extra "$MAX_EXTRA" --expires "$EXPIRES"' +
        ' --record "build=$RUN" --record "commit=$COMMIT" --record "plan=$PLAN_ID" "$WEIGHT"'

    static final String JUDGE = 'slipway phase judge --image "$IMAGE" --run "$RUN" --expires "$EXPIRES" --hold "$HOLD"' +
        ' --prometheus "$PROMETHEUS" --duration "$DURATION" --interval "$INTERVAL" --min-requests "$LEAST" --report "$REPORT"'

    static final String PROMOTE = 'slipway phase promote --image "$IMAGE" --run "$RUN" --from "$FROM" --first="$FIRST"' +
        ' --replicas "$REPLICAS"' +
        ' --expires "$EXPIRES" --record "build=$RUN" --record "commit=$COMMIT" --record "plan=$PLAN_ID" --record "canary-share=$SHARE"' +
        ' --record "migration-approved-by=$MIGRATION_APPROVER" --record "approved-by=$APPROVER" "$WEIGHT"'

    static final String UNDO_CANARY = 'slipway phase undo canary --run "$RUN"'

    static final String UNDO_STABLE = 'slipway phase undo stable --run "$RUN" --image "$IMAGE"'

    static final String UNDO_BOTH = 'slipway phase undo stable canary --run "$RUN" --image "$IMAGE"'

    static final String CHECK = 'slipway check --interval "$INTERVAL"'

    /** In the container python. 0: tests passed; 1: something failed; 100 to 103: what was not done, as StagingRelease says it. */
    static final String VALIDATE = '''
        export PYTHONPYCACHEPREFIX=/tmp/pycache
        if [ -z "$(find . -name '*.py' -print -quit)" ]; then exit 100; fi
        python3 -m compileall -q . || exit 1
        if [ ! -e requirements.txt ]; then exit 101; fi
        set -- -r requirements.txt
        if [ -e requirements-test.txt ]; then set -- "$@" -r requirements-test.txt; fi
        case "$(cat requirements.txt)" in *--hash=*) hashes=--require-hashes ;; *) hashes= ;; esac
        pip install --quiet --no-cache-dir --disable-pip-version-check --root-user-action=ignore --no-compile \\
          --target /tmp/packages $hashes "$@" || exit 1
        if [ ! -d "$TESTS" ]; then exit 102; fi
        PYTHONPATH=/tmp/packages:. python3 -m pytest "$TESTS" || exit 1
        if [ -z "$hashes" ]; then exit 103; fi'''

    /** In the container kaniko; REGISTRY_MAPS and BUILD_ARGUMENTS are words without blanks. */
    static final String KANIKO = '''
        set -f
        mkdir -p "$WORKSPACE_TMP"
        PATH="$PATH:/kaniko" executor --log-format text --verbosity warn --context "dir://$WORKSPACE" --no-push \\
          --tar-path "$WORKSPACE_TMP/image.tar" --destination "$TARGET" $REGISTRY_MAPS $BUILD_ARGUMENTS
        chmod a+r "$WORKSPACE_TMP/image.tar"'''

    /** In the container buildah. Without privileges: a chroot instead of a container, folders instead of mounts. */
    static final String BUILDAH = '''
        set -f
        storage=$WORKSPACE_TMP/buildah
        mkdir -p "$storage"
        export CONTAINERS_REGISTRIES_CONF="$storage/registries.conf"
        printf '%s' "$REGISTRIES" > "$CONTAINERS_REGISTRIES_CONF"
        rm -f "$WORKSPACE_TMP/image.tar"
        buildah --root "$storage/root" --runroot "$storage/run" --storage-driver vfs \\
          build --quiet --isolation chroot --format docker --tag "$TARGET" $BUILD_ARGUMENTS "$WORKSPACE"
        buildah --root "$storage/root" --runroot "$storage/run" --storage-driver vfs \\
          push --quiet "$TARGET" "docker-archive:$WORKSPACE_TMP/image.tar:$TARGET"
        chmod a+r "$WORKSPACE_TMP/image.tar"'''

    /**
     * In the container trivy, outside of the repository's files, which may hold settings of Trivy's own; of its
     * variables, those that say where its databases are. It reports all that it finds; what stops an image is decided elsewhere.
     */
    static final String SCAN = '''
        set +xe
        cd /
        unset $(env | while IFS== read -r name value; do case $name in
          TRIVY_DB_REPOSITORY|TRIVY_JAVA_DB_REPOSITORY|TRIVY_USERNAME|TRIVY_PASSWORD|TRIVY_INSECURE) ;;
          TRIVY_*) printf '%s ' "$name" ;; esac; done)
        rm -f "$WORKSPACE_TMP/trivy.json" "$WORKSPACE_TMP/trivy-version.json" "$WORKSPACE_TMP/sbom.json"
        trivy --quiet --cache-dir /tmp/trivy image --offline-scan --scanners vuln --list-all-pkgs \\
          --format json --output "$WORKSPACE_TMP/trivy.json" --input "$WORKSPACE_TMP/image.tar" || exit
        trivy --quiet --cache-dir /tmp/trivy version --format json > "$WORKSPACE_TMP/trivy-version.json" || exit
        trivy --quiet convert --format cyclonedx --output "$WORKSPACE_TMP/sbom.json" "$WORKSPACE_TMP/trivy.json" || exit
        chmod a+r "$WORKSPACE_TMP/trivy.json" "$WORKSPACE_TMP/trivy-version.json" "$WORKSPACE_TMP/sbom.json"
        trivy --quiet convert --format table --severity "$SEVERITY" "$WORKSPACE_TMP/trivy.json"
        exit 0'''
}
