/* global run:writable, driver:writable, wave:writable, pending:writable, turn:writable -- declared by composer.let */
// Up to 20 turns of reducer and wave: a turn costs two components of the 50 a composition has, and one for each retry.
// The reducer decides from the store what comes next, whatever the wave before returned or however it was lost.
// What ends the run is returned as `failed`: an `error` of this action is the end of its own conductor, or of its budget.
const composer = require('openwhisk-composer')
const patient = require('./parts/patient')

module.exports = composer.let({ run: null, driver: null, wave: null, pending: true, turn: 0 },
  p => { run = p.run; driver = p.driver; wave = p.wave },
  composer.try(
    composer.sequence(
      composer.dowhile(
        composer.sequence(
          p => ({ run, driver, wave, items: p.value || p.items, lost: p.lost }),
          patient('reducer', 3),
          p => { pending = p.pending; wave = p.wave; turn += 1 },
          composer.if(p => p.value.length > 0,
            composer.try('/_/dl/wave', p => ({ lost: String(p.error).slice(0, 2000) })),
            () => ({ value: [] }))),
        () => pending && turn < 20),
      p => ({ run, pending, wave, items: p.value, lost: p.lost })),
    p => /^Too many actions in the composition/.test(p.error) ? { error: 'train-loop has spent its budget' } : { failed: p.error }))
