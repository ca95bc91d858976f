import slipway.ProductionRelease
import slipway.Settings

void call(Map<String, Object> arguments = [:]) {
    Settings settings = new Settings(this, 'prodCanaryPipeline', arguments)
    settings.check()
    ProductionRelease release = new ProductionRelease(this, settings)
    release.record {
        stage('Checkout & Stash') { release.checkOut() }
        stage('Database Migration') { release.migrate() }
        release.undoUnlessPromoted {
            stage('Deploy Canary') { release.deployCanary() }
            stage('Promote to Production') { release.promote() }
        }
    }
}
