/** What the runner's image sets, so that what is measured is what is shipped. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

/** Variables of the Dockerfile; its paths are of the image. */
export const imageVariables = (root: string): Readonly<Record<string, string>> => {
  const text = readFileSync(join(root, "src/programs/kro-runner/Dockerfile"), "utf8")
  const found = [...text.matchAll(/^ENV (\w+)=(?:"([^"]*)"|(\S*))$/gm)]
  return Object.fromEntries(found.map(([, name = "", quoted, bare]) => [name, quoted ?? bare ?? ""]))
}
