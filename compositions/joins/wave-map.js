'use strict'
// wave-map's main, around the one that composer generates. Composer's own join waits in Redis and, again and again, by way
// of an echo action, for branches that may be dead. This one waits in short spells, between which it asks the reducer
// whether the store has all that the wave was for; it reports for the branches that are lost once nothing can come any
// more, so that the join ends as any other. And it makes a new connection to Redis where the one that composer keeps for a
// container's life no longer answers. scripts/zips.py packages it.
const redis = require('redis')

const LOOK = '/_/dl/reducer'
const SPELL = 4 // seconds between two looks, at least
const LOOKS = 45 // of a wave at most: a composition has 50 components
const GRACE = 1 // seconds after the deadline, or after a look that found all: branches that live have reported by then
const MARGIN = 5 // seconds before the action's deadline at which composer ends a wait
const LONGEST = 300 // seconds of a wave that tells no deadline
const CONNECT = 20 // seconds in which Redis may come back
const AGAIN = 250 // milliseconds between two attempts to connect
const ANSWER = 2000 // milliseconds in which a connection that was kept must answer
const LOST = 'its branch was lost: the conductor ended before it could report'

const create = redis.createClient
let client // what composer's main keeps for as long as it is loaded
let longest // until when this activation may last
redis.createClient = (uri, options) => {
  client = client || create(uri, { ...options, retry_strategy: patient })
  return client
}

function patient ({ total_retry_time: spent }) {
  return spent < CONNECT * 1000 ? AGAIN : undefined
}

async function main (params) {
  const state = params.$composer || {}
  longest = Number(process.env.__OW_DEADLINE)
  try {
    if (client && !await answers()) forget()
    if (state.collect) return await resume(params)
    return state.join ? await conduct(params) : await begin(params)
  } catch (error) { // what Redis refused
    forget()
    return { error: `Redis: ${error.message}` }
  }
}

// Whether the connection that was kept still is one: Redis may have been restarted while the container slept.
function answers () {
  const late = new Promise(resolve => setTimeout(resolve, ANSWER).unref())
  return Promise.race([command('ping'), late]).catch(() => {})
}

function forget () {
  if (client) client.end(false)
  client = undefined
  delete require.cache[require.resolve('./composition')]
}

// Fork the wave, unless Redis cannot be used; then nothing has been started.
async function begin (params) {
  const wave = describe(params.value || [])
  if (wave.lanes > 0) {
    const error = await unusable(params.$composer)
    if (error) {
      forget()
      return { error: `The wave could not begin: ${error}` }
    }
  }
  return joined(params, wave, wave.spell)
}

// What the join must know of its wave; the warm-up is a wave without a number.
function describe (items) {
  const { run, wave, deadline = now() + LONGEST } = items[0] || {}
  return { run, wave, deadline, lanes: items.length, spell: Math.max(SPELL, Math.ceil((deadline - now()) / LOOKS)) }
}

// Go on after a look at the store.
async function resume ({ wave, whole, error, $composer }) {
  if (/Too many actions/.test(error)) return { error: `The wave was left alone: ${error}` }
  return joined({ value: [], $composer }, wave, whole ? GRACE : wave.spell, whole)
}

// Wait for a spell; then the wave is joined, or over, or to be looked at.
async function joined (params, wave, spell, whole) {
  const left = Math.ceil(wave.deadline + GRACE - now())
  limit(Math.min(spell, left))
  const step = await conduct(params)
  if (!waits(step)) return step
  const { $composer } = step.state
  if (!whole && now() < wave.deadline + GRACE) return { ...step, action: LOOK, params: look(wave), state: { $composer, wave } }
  await report(wave.lanes, $composer.collect)
  limit(GRACE)
  const last = await conduct({ value: [], $composer })
  return waits(last) ? { error: 'Redis has lost the wave' } : last
}

function waits (step) {
  return Boolean(step.action && step.state.$composer.collect)
}

function look ({ run, wave }) {
  return { run, look: true, wave: wave === undefined ? null : wave }
}

// Push what the branches that are missing would have; the last to push moves the list to where composer waits.
async function report (lanes, barrier) {
  const [live, done] = [`composer/fork/${barrier}`, `composer/join/${barrier}`]
  const told = (await command('lrange', live, 0, -1)).map(JSON.parse).map(item => item.position)
  for (let position = 0; position < lanes; position++) {
    const item = JSON.stringify({ position, params: { failed: LOST } })
    if (!told.includes(position)) await command('lpushx', live, item)
  }
  await command('rename', live, done).catch(() => {}) // moved by the last branch meanwhile, or gone with a restarted Redis
}

function command (name, ...values) {
  return new Promise((resolve, reject) => client[name](...values, (error, found) => error ? reject(error) : resolve(found)))
}

// Run composer's main. After an error its connection may be broken.
async function conduct (params) {
  const logged = []
  const { error } = console
  console.error = (...words) => { logged.push(...words); error(...words) }
  const step = await require('./composition').main(params)
  console.error = error
  if (step.error) forget()
  return explained(step, logged)
}

// Composer logs why a fork failed, and does not say it.
function explained (step, logged) {
  const cause = logged.filter(Boolean).map(word => word.error?.error || word.message).find(Boolean)
  return step.error && cause ? { ...step, error: `${step.error}: ${cause}` } : step
}

// Connect where no connection is; return why Redis cannot be used, undefined when it can.
function unusable ({ redis: { uri, ca } = {} } = {}) {
  return new Promise(resolve => {
    if (!uri) return resolve('got no address of Redis, expected redis://user:password@host:port')
    if (client) return resolve()
    redis.createClient(uri, ca ? { tls: { ca: Buffer.from(ca, 'base64').toString('binary') } } : {})
    client.on('error', ({ message, origin }) => resolve(`Redis: ${origin ? origin.message : message}`))
    client.on('ready', () => resolve())
  })
}

// Composer looks here for the time at which it must end a wait, and counts whole seconds.
function limit (seconds) {
  const until = Date.now() + (Math.max(1, seconds) + MARGIN + 0.9) * 1000
  process.env.__OW_DEADLINE = Math.min(until, longest)
}

function now () {
  return Date.now() / 1000
}

exports.main = main
