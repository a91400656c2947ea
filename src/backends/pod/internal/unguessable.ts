import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"

/** A name that cannot be guessed, of 32 hexadecimal digits: for a directory that all may enter, and for what must not meet its like. */
export const unguessable = Effect.sync(() => randomBytes(16).toString("hex"))
