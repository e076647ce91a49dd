// One wave: the trainers side by side. A trainer's error becomes its item, so that one lane never fails the others; and it is
// cut, for the items of all lanes are one result.
const composer = require('openwhisk-composer')

module.exports = composer.map(composer.try('/_/dl/trainer', p => {
  const said = typeof p.error === 'string' ? p.error : JSON.stringify(p.error)
  return { failed: said.slice(0, 2000) }
}))
