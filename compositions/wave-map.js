// One wave: the trainers side by side. A trainer's error becomes its item, so that one lane never fails the others.
const composer = require('openwhisk-composer')

module.exports = composer.map(composer.try('/_/dl/trainer', p => ({ failed: p.error })))
