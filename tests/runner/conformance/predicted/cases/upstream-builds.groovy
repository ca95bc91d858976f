// The builds that began this one.
// play: end 1 ; upstream ; end 2
@Library('conformance') _
if (currentBuild.number == 1) { return }
def all = currentBuild.upstreamBuilds
seen all.size()
seen "${all[0].projectName} ${all[0].number} ${all[0].result}"
seen all[0].getBuildCauses()*.userId
seen currentBuild.getBuildCauses()*.upstreamBuild
