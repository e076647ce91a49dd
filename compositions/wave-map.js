// One wave: trainers, or splitters of a large dataset, side by side. What one fails with becomes its item, so that it never
// fails the others; and it is cut, for all items are one result.
const composer = require('openwhisk-composer')

module.exports = composer.map(composer.try(
  composer.if(p => p.kind === 'split', '/_/dl/splitter',
    composer.if(p => p.trainer === 'trainer-512', '/_/dl/trainer-512',
      composer.if(p => p.trainer === 'trainer-large', '/_/dl/trainer-large', '/_/dl/trainer'))),
  p => {
    const said = typeof p.error === 'string' ? p.error : JSON.stringify(p.error)
    return { failed: said.slice(0, 2000) }
  }))
