import slipway.ProductionRelease
import slipway.Settings

void call(Map<String, Object> arguments = [:]) {
    Settings settings = new Settings(this, 'prodCanaryPipeline', arguments)
    settings.check()
    ProductionRelease release = new ProductionRelease(this, settings)
    release.record {
        release.alone {
            milestone(label: 'begin')
            release.undoUnlessPromoted {
                release.inPod {
                    release.stage('Checkout & Stash') { release.checkOut() }
                    if (!release.hasToWait()) {
                        release.stage('Database Migration') { release.migrate() }
                        release.stage('Deploy Canary') { release.deployCanary() }
                    }
                }
                if (release.hasToWait()) { // without a pod
                    release.stage('Database Migration') { release.approveMigration() }
                    release.inPod {
                        release.stage('Database Migration') { release.migrate() }
                        release.stage('Deploy Canary') { release.deployCanary() }
                    }
                }
                release.stage('Promote to Production') { release.promote() }
            }
        }
    }
}
