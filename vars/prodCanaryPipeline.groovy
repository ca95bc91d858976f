import slipway.ProductionRelease
import slipway.Settings

void call(Map<String, Object> arguments = [:]) {
    Settings settings = new Settings(this, 'prodCanaryPipeline', arguments)
    settings.check()
    ProductionRelease release = new ProductionRelease(this, settings)
    release.record {
        release.alone {
            release.stage('Checkout & Stash') { release.checkOut() }
            release.stage('Database Migration') { release.migrate() }
            release.undoUnlessPromoted {
                release.stage('Deploy Canary') { release.deployCanary() }
                release.stage('Promote to Production') { release.promote() }
            }
        }
    }
}
