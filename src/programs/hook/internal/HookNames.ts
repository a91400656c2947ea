/**
 * Names of what the hook makes: those of GitHub's own hooks, which people look for, and by which tools and Actions Runner Controller
 * recognise them.
 */

/** The label whose value is the runner's pod: Actions Runner Controller deletes pods and secrets by it. */
export const ownerLabel = "runner-pod"

/** The pod of a job. */
export const jobPod = (runnerPod: string): string => `${runnerPod.slice(0, 54)}-workflow`

/** Pods of container steps, and secrets. */
export const child = (runnerPod: string, kind: "step" | "secret", id: string): string =>
  `${runnerPod.slice(0, kind === "step" ? 49 : 47)}-${kind}-${id.slice(0, 8)}`

/**
 * Names of services by their images, since the runner does not tell what a workflow calls them: `redis` for `ghcr.io/acme/redis:7@sha256:…`. Several
 * of one name are numbered from 0. Each is a valid name of a container, and no two are the same.
 */
export const services = (
  images: ReadonlyArray<string>,
  taken: ReadonlyArray<string> = reserved
): ReadonlyArray<string> => {
  const bases = images.map(baseName)
  const used = new Set(taken)
  return bases.map((base) => {
    const alone = bases.filter((other) => other === base).length === 1 && !used.has(base)
    const name = alone
      ? base
      : Array.from({ length: images.length + used.size + 1 }, (_, index) => `${base.slice(0, 59)}-${index}`).find(
          (candidate) => !used.has(candidate) && !bases.includes(candidate)
        )
    used.add(name ?? base)
    return name ?? base
  })
}

const reserved = ["job", "fs-init", "musl-node-20", "musl-node-24"]

/** The last part of an image's path, without tag and digest, in the characters of a DNS label. */
const baseName = (image: string): string => {
  const path = image.replace(/@.*$/s, "").replace(/:[^/]*$/, "")
  const label = path
    .slice(path.lastIndexOf("/") + 1)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 63)
    .replace(/^-+|-+$/g, "")
  return label === "" ? "service" : label
}
