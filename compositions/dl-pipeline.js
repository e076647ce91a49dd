/* global run:writable, token:writable, failure:writable -- declared by composer.let */
// The main job, as people call it: the steps of a run, taken up again where their conductor died. Whatever fails is recorded
// in the run's state, when the store answers, and ends the pipeline.
const composer = require('openwhisk-composer')
const patient = require('./parts/patient')

module.exports = composer.let({ run: null, token: null, failure: null },
  // The store and the buckets to read from are final parameters, which OpenWhisk enforces for direct calls alone, not for a
  // step. `__ow_headers` would carry the caller's key.
  p => {
    const { uploaded = false, ...others } = p
    const given = Object.fromEntries(Object.entries(others).filter(([name]) => !/^(s3|reads|__ow_.*)$/.test(name)))
    return { given, uploaded, invocation: { id: process.env.__OW_ACTIVATION_ID, time: Date.now() / 1000 } }
  },
  composer.try(
    composer.sequence(
      patient('run', 3),
      p => {
        if (p.failed === undefined) return p.result
        run = p.run
        token = p.token
        return { error: p.failed }
      }),
    composer.sequence(
      p => {
        const text = String(p.error).replace(/\.?$/, '')
        failure = /^(Parameter|Dataset|Model|Run|Access)Error: /.test(text)
          ? p.error.replace(/^\w+: /, '')
          : `${text}; invoke dl-pipeline again with ${run === null ? 'the same parameters' : `run ${run}`} to go on`
        return {}
      },
      composer.if(() => run !== null,
        composer.try(
          composer.sequence(() => ({ run, token, failure }), patient('status', 6)),
          () => ({}))),
      () => ({ error: failure }))))
