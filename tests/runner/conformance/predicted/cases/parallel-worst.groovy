// Of several branches that fail the most severe error counts, unless the first one ends the others.
@Library('conformance') _
try {
    parallel a: { error 'told' }, b: { sleep 1; throw new Exception('thrown') }
} catch (Exception caught) { seen caught.message }
try {
    parallel a: { timeout(time: 1, unit: 'SECONDS') { sleep 60 } }, b: { sleep 5; error 'told' }
} catch (Exception caught) { seen "${caught.class.simpleName} ${caught.message}" }
try {
    parallel a: { error 'first' }, b: { sleep 1; error 'second' }
} catch (Exception caught) { seen caught.message }
try {
    parallel a: { error 'told' }, b: { sleep 30; throw new Exception('thrown') }, failFast: true
} catch (Exception caught) { seen caught.message }
try { parallel a: 'no closure' } catch (Exception caught) { seen "${caught.class.simpleName} ${caught.message}" }
seen parallel(x: { sleep 1; 1 }, y: { 2 })
