/* global run:writable, driver:writable -- declared by composer.let */
// The main job: plan, split, train, evaluate. Whatever fails is recorded in the run's state and ends the pipeline.
// The planner's value is an empty wave: it starts the trainers while the splitter works. If it fails, the reducer is told
// not to wait for it, and nothing else.
const composer = require('openwhisk-composer')

const cold = composer.sequence(() => ({ run, cold: true }), '/_/dl/status')

module.exports = composer.let({ run: null, driver: null },
  composer.try(
    composer.sequence(
      '/_/dl/planner',
      p => { run = p.run; driver = p.driver },
      composer.if(p => p.value.length > 0,
        composer.try(
          composer.async(
            composer.try('/_/dl/wave', p => ({ value: [p] })),
            composer.if(p => p.value.some(item => item.error || item.failed || item.late), cold)),
          cold)),
      composer.dowhile(
        composer.sequence(() => ({ run }), composer.retry(2, '/_/dl/splitter')),
        p => p.pending),
      p => ({ wave: null }),
      composer.dowhile(
        composer.sequence(p => ({ run, driver, wave: p.wave, items: p.items, lost: p.lost }), '/_/dl/train'),
        p => p.pending),
      () => ({ run }),
      composer.retry(2, '/_/dl/evaluator')),
    composer.sequence(
      p => ({ run, failure: p.error }),
      '/_/dl/status',
      p => ({ error: p.failure }))))
