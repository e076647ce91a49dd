/* global tries:writable, most, pause:writable -- declared by composer.let */
// A step that is repeated when it died, or when the store was away: after 2, 6, 18 and 45 s. An error whose class says that
// trying again cannot mend it (actions/common/errors.py) ends it at once, and so does the end of the composition's budget.
const composer = require('openwhisk-composer')

module.exports = (name, repeats) => composer.let({ name, tries: 1, most: repeats + 1, pause: 2 },
  params => ({ params }),
  composer.dowhile(
    composer.finally(({ params }) => params, composer.mask(composer.retain_catch(`/_/dl/${name}`))),
    ({ result }) => {
      if (result.error === undefined || tries === most) return false
      if (/^((Parameter|Dataset|Model|Run|Access)Error: |Too many actions in the composition)/.test(result.error)) return false
      const seconds = pause
      tries += 1
      pause = Math.min(45, 3 * pause)
      return new Promise(resolve => setTimeout(resolve, 1000 * seconds, true))
    }),
  ({ result }) => {
    if (result.error === undefined) return result
    const said = (typeof result.error === 'string' ? result.error : JSON.stringify(result.error)).slice(0, 2000)
    return { error: tries < most ? said : `${name} failed ${tries} times, the last time: ${said.replace(/^(Store|Absent|Transfer)Error: /, '')}` }
  })
