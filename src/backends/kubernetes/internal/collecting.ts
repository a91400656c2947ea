/**
 * Keeps small what a process has of bytes that it is done with.
 *
 * What comes over a connection, and the frames that leave, are buffers outside of V8's heap. V8 11 collects its young generation for them when there
 * are 32 MB (twice its largest semi-space, whatever size it has), and its old one, where buffers get that were under way during two collections,
 * hardly ever in so short a life. For a program that lives as long as one step, and of which there are many on a node, that is half of its memory.
 */
import * as V8 from "node:v8"
import * as Vm from "node:vm"

/** Bytes between two collections of the young generation: 0.4 ms each, with one of 1 MB (measured on Node 20). */
const enough = 1024 * 1024

/** How many of them between two of everything: some 10 ms each. */
const minors = 16

type Collect = (options?: { readonly type: "minor" }) => void

/** To be told of bytes that came or went. */
export const makeCollector = (): ((bytes: number) => void) => {
  let since = 0
  let collections = 0
  let collect: Collect | undefined
  return (bytes) => {
    since += bytes
    if (since < enough) return
    since = 0
    collect ??= collectOfV8()
    if (++collections % minors === 0) collect()
    else collect({ type: "minor" })
  }
}

/**
 * Node has no other way to it once it runs. A context of its own keeps it out of everybody's sight, and the flag is taken back, because compiled
 * code that was kept (scripts/loader.cjs) is only taken with the flags that it was made with.
 */
const collectOfV8 = (): Collect => {
  V8.setFlagsFromString("--expose-gc")
  const collect: Collect = Vm.runInNewContext("gc")
  V8.setFlagsFromString("--no-expose-gc")
  return collect
}
