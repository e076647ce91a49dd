'use strict'

// The HTTP server inside a container of kind nodejs:20: POST /init once, then POST /run.
// localwhisk starts it as a container's process; it answers as Apache OpenWhisk's own nodejs image does.
// Environment: OW_SOCKET (descriptor of the socket it was given to listen on).

const fs = require('fs')
const http = require('http')
const Module = require('module')
const path = require('path')

const SENTINEL = 'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n'

// Last place in which an action's require() looks: the modules that OpenWhisk's image has, after the zip's own.
process.env.NODE_PATH = path.join(__dirname, 'node_modules')
Module._initPaths()

let status = 'ready' // ready, starting, running or stopped, which is for ever
let main

class Refusal extends Error {
  constructor (code, text) {
    super(text)
    this.code = code
  }
}

function internal (text) {
  console.error('Internal system error:', text)
  return new Refusal(403, text)
}

function writeSentinels () {
  process.stdout.write(SENTINEL)
  process.stderr.write(SENTINEL)
}

async function init ({ value }) {
  if (main) throw internal('Cannot initialize the action more than once.')
  if (status !== 'ready') throw internal(`System not ready, status is ${status}.`)
  if (!isText(value?.main) || !isText(value?.code)) throw new Refusal(403, 'Missing main/no code to execute.')
  status = 'starting'
  setEnvironment('', value.env ?? {})
  try {
    main = value.binary ? await loadZip(value.code, value.main) : loadSource(value.code, value.main)
  } catch (error) {
    status = 'stopped'
    console.error('Error during initialization:', error)
    writeSentinels()
    throw new Refusal(502, `Initialization has failed due to: ${error.stack ?? error}`)
  }
  status = 'ready'
  return { OK: true }
}

function isText (value) {
  return typeof value === 'string' && value !== ''
}

function setEnvironment (prefix, variables) {
  for (const [name, value] of Object.entries(variables)) {
    process.env[prefix + name] = typeof value === 'string' ? value : JSON.stringify(value)
  }
}

function loadSource (code, name) {
  // The action shall see require, module and exports, and nothing of this file.
  const source = `${code}\ntry { return ${name} } catch (error) { return module.exports.${name} }`
  const load = new Function('require', 'module', 'exports', source) // eslint-disable-line no-new-func
  const module = { exports: {} }
  return assertFunction(load(require, module, module.exports), name)
}

async function loadZip (code, name) {
  const folder = fs.mkdtempSync(path.resolve('action-'))
  const AdmZip = require('adm-zip')
  try {
    new AdmZip(Buffer.from(code, 'base64')).extractAllTo(folder)
  } catch (error) {
    throw 'There was an error uncompressing the action archive.' // eslint-disable-line no-throw-literal
  }
  process.chdir(folder)
  const dot = name.indexOf('.') // `file.function`, else a function of index.js or of package.json's main
  const [file, property] = dot < 0 ? ['', name] : [name.slice(0, dot), name.slice(dot + 1)]
  if (file === '' && !fs.existsSync('package.json') && !fs.existsSync('index.js')) {
    throw 'Zipped actions must contain either package.json or index.js at the root.' // eslint-disable-line no-throw-literal
  }
  return assertFunction(require(path.join(folder, file))[property], name)
}

function assertFunction (value, name) {
  if (typeof value !== 'function') throw `Action entrypoint '${name}' is not a function.` // eslint-disable-line no-throw-literal
  return value
}

async function run (request) {
  if (!main) throw internal('System not initialized.')
  if (status !== 'ready') throw internal(`System not ready, status is ${status}.`)
  const { value, ...context } = request
  setEnvironment('__OW_', Object.fromEntries(Object.entries(context).map(([name, item]) => [name.toUpperCase(), item])))
  status = 'running'
  let result
  try {
    result = main(value)
  } catch (error) { // thrown, not rejected: OpenWhisk's image takes no further activation
    status = 'stopped'
    console.error(error)
    writeSentinels()
    throw new Refusal(502, `An error has occurred: ${error}`)
  }
  return finish(result)
}

async function finish (promise) {
  const result = await Promise.resolve(promise).then(value => value === undefined ? {} : value, describe)
  if (typeof result !== 'object') console.error(`Result must be of type object but has type "${typeof result}":`, result)
  writeSentinels()
  status = 'ready'
  if (typeof result !== 'object') throw new Refusal(502, 'The action did not return a dictionary.')
  return result
}

async function describe (error) {
  const { serializeError } = await import('serialize-error')
  return { error: error ? serializeError(error) : {} }
}

async function answer (request) {
  const handler = { '/init': init, '/run': run }[request.url]
  if (request.method !== 'POST' || !handler) throw new Refusal(404, `path: got ${request.url}, expected /init or /run`)
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  let body
  try {
    body = JSON.parse(Buffer.concat(chunks))
  } catch (error) {
    throw new Refusal(400, `body: got no JSON (${error.message}), expected an object`)
  }
  return JSON.stringify(await handler(body ?? {}))
}

async function serve (request, response) {
  let code = 200
  const body = await answer(request).catch(error => {
    code = error.code ?? 500
    return JSON.stringify({ error: error.message })
  })
  const length = Buffer.byteLength(body)
  response.writeHead(code, { 'Content-Type': 'application/json', 'Content-Length': length, Connection: 'close' })
  response.end(body)
}

const socket = Number(process.env.OW_SOCKET)
delete process.env.OW_SOCKET
http.createServer(serve).listen({ fd: socket })
