import { identifiedSteps, type Job } from "../Job.ts"
import { InvalidInput } from "../JobError.ts"
import * as StepOutputs from "../StepOutputs.ts"

/** What a job says that cannot be meant, and that a schema cannot see. */
export const contradiction = (job: Job): InvalidInput | undefined => {
  const known = new Set<string>()
  for (const [index, { id, step }] of identifiedSteps(job).entries()) {
    if (known.has(id)) {
      return new InvalidInput({ input: `steps[${index}].id`, detail: `another step has the id "${id}" too` })
    }
    for (const [variable, reference] of Object.entries(step.envFrom)) {
      if (!known.has(reference.step)) {
        return new InvalidInput({
          input: `steps[${index}].envFrom.${variable}`,
          detail: `no earlier step has the id "${reference.step}"`
        })
      }
    }
    // The lifecycle adds a file for the step's outputs.
    const names = new Set<string>([StepOutputs.fileName])
    for (const file of step.run.files) {
      if (names.has(file.name)) {
        return new InvalidInput({
          input: `steps[${index}].run.files`,
          detail: `two files have the name "${file.name}"`
        })
      }
      names.add(file.name)
    }
    known.add(id)
  }
  const services = new Set<string>()
  for (const [index, { name }] of job.services.entries()) {
    if (services.has(name)) {
      return new InvalidInput({
        input: `services[${index}].name`,
        detail: `another service has the name "${name}" too`
      })
    }
    services.add(name)
  }
  return undefined
}
