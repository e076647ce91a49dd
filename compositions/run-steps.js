/* global run:writable, driver:writable, token:writable, pending:writable -- declared by composer.let */
// The steps of a run: plan, split, train, evaluate. What ends them is returned as `failed`: an `error` of this action is the
// end of its own conductor, or of its budget; dl-pipeline then takes the run up again.
// The planner's value is an empty wave: it starts the trainers while the splitter works. If it fails, the reducer is told
// not to wait for it, and why. The splitter of a large dataset gives waves of splitters.
const composer = require('openwhisk-composer')
const patient = require('./parts/patient')

const cold = composer.sequence(p => ({ run, token, cold: true, failure: p.failure }), '/_/dl/status')

module.exports = composer.let({ run: null, driver: null, token: null, pending: true },
  composer.try(
    composer.sequence(
      patient('planner', 3),
      p => { run = p.run; driver = p.driver; token = p.token },
      composer.if(p => p.value.length > 0,
        composer.try(
          composer.async(
            composer.try('/_/dl/wave', p => ({ value: [{ failed: p.error }] })),
            p => {
              const said = p.value.map(item => item.error || item.failed || (item.late && 'late')).filter(Boolean)
              return { failure: said.find(text => /^ModelError: /.test(text)) || said[0] || null }
            },
            composer.if(p => p.failure !== null, cold)),
          cold)),
      () => ({}),
      composer.dowhile(
        composer.sequence(
          p => ({ run, driver, items: p.value, lost: p.lost }),
          patient('splitter', 3),
          p => { pending = p.pending },
          composer.if(p => p.value.length > 0,
            composer.try('/_/dl/wave', p => ({ lost: String(p.error).slice(0, 2000) })),
            () => ({}))),
        () => pending),
      () => ({ wave: null }),
      composer.dowhile(
        composer.sequence(
          p => ({ run, driver, wave: p.wave, items: p.items, lost: p.lost }),
          patient('train', 3),
          p => p.failed === undefined ? p : { error: p.failed }),
        p => p.pending),
      () => ({ run }),
      patient('evaluator', 3),
      p => ({ result: p })),
    p => /^Too many actions in the composition/.test(p.error) ? { error: 'run-steps has spent its budget' } : { run, token, failed: p.error }))
