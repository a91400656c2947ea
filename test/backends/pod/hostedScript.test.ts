/** What makes a container of somebody else's fit for steps, run by the shells that images have. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, describe, it } from "@effect/vitest"
import { Mount, Volume } from "jobscope/domain/Container"
import { InvalidInput } from "jobscope/domain/JobError"
import * as hostedScript from "../../../src/backends/pod/internal/hostedScript.ts"
import { runScript, type Shell, shells } from "./support/shells.ts"

const roots: Array<string> = []
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true })
})

/** A directory in the place of the container's root. */
const container = () => {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "jobscope-container-")))
  roots.push(root)
  return root
}

const claimPod = {
  metadata: { name: "p" },
  spec: {
    volumes: [{ name: "w", persistentVolumeClaim: { claimName: "work" } }],
    containers: [{ name: "job", image: "i", volumeMounts: [{ name: "w", mountPath: "/claim", subPath: "runner" }] }]
  }
}

const planned = (root: string, asked: Partial<hostedScript.Asked> = {}) => {
  const plan = hostedScript.plan({
    mounts: [],
    volumes: [],
    sharing: { _tag: "Copy" },
    pod: claimPod,
    container: "job",
    workspace: `${root}/workspace`,
    fallback: `${root}/tmp/own`,
    variables: "set --\n",
    ...asked
  })
  if (plan instanceof InvalidInput) throw plan
  return {
    ...plan,
    script: plan.script.replaceAll("/__jobscope", `${root}/state`).replaceAll("/claim/", `${root}/claim/`)
  }
}

const ran = async (shell: Shell, script: string) => {
  const { code, stderr, stdout } = await runScript(shell, script).ended
  return { code, stderr: stderr.toString(), ...hostedScript.read(stdout.toString()), stdout: stdout.toString() }
}

for (const shell of shells()) {
  describe(shell.name, () => {
    it("makes the workspace and our own place, and says what the container is; once more changes nothing", async () => {
      const root = container()
      const { script } = planned(root)
      for (const _ of [1, 2]) {
        const { code, state, stderr, stdout } = await ran(shell, script)
        assert.deepStrictEqual([code, stderr, state], [0, "", `${root}/state`])
        assert.match(stdout, /^os=Linux$/m)
        assert.isTrue(existsSync(`${root}/workspace`) && existsSync(`${root}/state/steps`))
        assert.strictEqual(readFileSync(`${root}/state/variables`, "utf8"), "set --\n")
        assert.strictEqual(statSync(`${root}/state/variables`).mode & 0o777, 0o600)
      }
    })

    it("takes the other place where the first cannot be had", async () => {
      const root = container()
      writeFileSync(`${root}/state`, "a file")
      assert.deepInclude(await ran(shell, planned(root).script), { code: 0, state: `${root}/tmp/own` })
    })

    it("shows a directory at every place where it is mounted; the job's volumes, too", async () => {
      const root = container()
      const { copied, script } = planned(root, {
        mounts: [
          new Mount({ source: "/work", target: `${root}/__w` }),
          new Mount({ source: "/work/_temp", target: `${root}/__w/_temp` }),
          new Mount({ source: "/work/_temp/home", target: `${root}/github/home` }),
          new Mount({ source: "cache it", target: `${root}/a/cache` }),
          new Mount({ source: "cache it", target: `${root}/b/cache` })
        ],
        volumes: [new Volume({ name: "cache it" })]
      })
      assert.deepStrictEqual(copied, [{ source: "/work", target: `${root}/__w` }])
      for (const _ of [1, 2]) assert.deepInclude(await ran(shell, script), { code: 0, stderr: "" })
      writeFileSync(`${root}/__w/_temp/home/file`, "x")
      assert.strictEqual(readFileSync(`${root}/github/home/file`, "utf8"), "x")
      writeFileSync(`${root}/a/cache/file`, "y")
      assert.strictEqual(readFileSync(`${root}/b/cache/file`, "utf8"), "y")
    })

    it("leaves a read-only mount as the template has it, and makes it where it is empty or missing", async () => {
      const root = container()
      mkdirSync(`${root}/full`)
      writeFileSync(`${root}/full/node`, "")
      mkdirSync(`${root}/empty`)
      const { script } = planned(root, {
        mounts: ["full", "empty", "missing"].map(
          (name) => new Mount({ source: `/of/${name}`, target: `${root}/${name}`, readOnly: true })
        )
      })
      const { code, given } = await ran(shell, script)
      assert.strictEqual(code, 0)
      assert.deepStrictEqual([...given], [`${root}/full`])
      assert.isTrue(existsSync(`${root}/missing`))
    })

    it("says what is in the way, and what to do", async () => {
      const root = container()
      mkdirSync(`${root}/there/already`, { recursive: true })
      const mounts = [
        new Mount({ source: "/work", target: `${root}/__w` }),
        new Mount({ source: "/work/x", target: `${root}/there` })
      ]
      const taken = await ran(shell, planned(root, { mounts }).script)
      assert.strictEqual(taken.code, hostedScript.inTheWay)
      assert.match(
        taken.stderr,
        /there is needed for a mount of the job, and the image or the template has something there/
      )
      writeFileSync(`${root}/workspace`, "a file")
      const refused = await ran(shell, planned(root).script)
      assert.strictEqual(refused.code, hostedScript.inTheWay)
      assert.match(refused.stderr, /workspace cannot be made.*the template has to mount a volume there/)
    })

    it("links to where the template mounts the claim", async () => {
      const root = container()
      mkdirSync(`${root}/claim/_temp`, { recursive: true })
      const { copied, script } = planned(root, {
        mounts: [new Mount({ source: "/home/work/_temp", target: `${root}/t` })],
        sharing: { _tag: "Claim", claim: "work", root: "/home/work", subPath: "runner" }
      })
      assert.deepStrictEqual(copied, [])
      assert.deepInclude(await ran(shell, script), { code: 0, stderr: "" })
      assert.strictEqual(readlinkSync(`${root}/t`), `${root}/claim/_temp`)
    })
  })
}

describe("a plan", () => {
  it("is refused where the template does not mount the claim, and for sources that are nothing", () => {
    const asked = {
      volumes: [],
      pod: claimPod,
      container: "job",
      workspace: undefined,
      fallback: "/tmp/x",
      variables: ""
    }
    const claim = { _tag: "Claim", claim: "work", root: "/home/work", subPath: "another" } as const
    const mounts = [new Mount({ source: "/home/work/x", target: "/x" })]
    const unseen = hostedScript.plan({ ...asked, mounts, sharing: claim })
    assert.match((unseen as InvalidInput).message, /does not mount that part of the claim work/)
    const nothing = hostedScript.plan({
      ...asked,
      mounts: [new Mount({ source: "nothing", target: "/x" })],
      sharing: { _tag: "Copy" }
    })
    assert.instanceOf(nothing, InvalidInput)
  })
})
