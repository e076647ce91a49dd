/* global run:writable, driver:writable, wave:writable, pending:writable, turn:writable -- declared by composer.let */
// Up to 20 turns of reducer and wave: a turn costs two components of the 50 a composition has, and one for each retry.
// The reducer decides from the store what comes next, whatever the wave before returned or however it was lost.
const composer = require('openwhisk-composer')

module.exports = composer.let({ run: null, driver: null, wave: null, pending: true, turn: 0 },
  p => { run = p.run; driver = p.driver; wave = p.wave },
  composer.dowhile(
    composer.sequence(
      p => ({ run, driver, wave, items: p.value || p.items, lost: p.lost }),
      composer.retry(2, '/_/dl/reducer'),
      p => { pending = p.pending; wave = p.wave; turn += 1 },
      composer.if(p => p.value.length > 0,
        composer.try('/_/dl/wave', p => ({ lost: p.error })),
        () => ({ value: [] }))),
    () => pending && turn < 20),
  p => ({ run, pending, wave, items: p.value, lost: p.lost }))
