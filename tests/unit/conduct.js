// Runs a compiled composition as OpenWhisk does, without one: node conduct.js COMPILED < {"params", "answers"}. Each component
// gets the next of its answers, the last of them again and again. Waiting takes no time, but is told.
const fs = require('fs')

const COMPONENTS = 50 // of a composition

const { params, answers } = JSON.parse(fs.readFileSync(0))
const told = { calls: [], pauses: [] }
global.setTimeout = (resume, milliseconds, ...values) => {
  told.pauses.push(milliseconds / 1000)
  return setImmediate(resume, ...values)
}
console.log = console.error = () => {}
const branches = [] // what the composition invokes beside itself
const invoke = async ({ params }) => branches.push(JSON.parse(JSON.stringify(params))) && { activationId: 'a' }
require.cache[require.resolve('openwhisk')] = { loaded: true, exports: () => ({ actions: { invoke } }) }
process.env.__OW_ACTIVATION_ID = 'f'.repeat(32)

async function conduct (main, params) {
  let step = await main(params)
  while (step.action) {
    const name = step.action.replace('/_/dl/', '')
    let answer = { error: 'Too many actions in the composition.' }
    if (told.calls.length < COMPONENTS) {
      told.calls.push([name, step.params])
      answer = answers[name].length > 1 ? answers[name].shift() : answers[name][0]
    }
    step = await main(JSON.parse(JSON.stringify({ ...answer, ...step.state })))
  }
  return step.params || step
}

async function run ({ main }) {
  const result = await conduct(main, params)
  for (const branch of branches) await conduct(main, branch)
  process.stdout.write(JSON.stringify({ ...told, result }))
}

run(require(process.argv[2]))
