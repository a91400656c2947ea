/** Paths on the command line: as they are written, and completed by shells. */
import type * as Argument from "effect/cli/Argument"
import type * as Flag from "effect/cli/Flag"
import * as Param from "effect/cli/Param"
import * as Primitive from "effect/cli/Primitive"
import * as Effect from "effect/Effect"

/** Effect's own makes them absolute, and messages would then show what nobody has written. */
const asWritten = (type: Primitive.PathType): Primitive.Primitive<string> =>
  Object.assign(Primitive.Path(type, false), { parse: (value: string) => Effect.succeed(value) })

export const argument = (name: string): Argument.Argument<string> =>
  Param.makeSingle({ kind: Param.argumentKind, name, primitiveType: asWritten("file") })

export const flag = (name: string, type: Primitive.PathType): Flag.Flag<string> =>
  Param.makeSingle({ kind: Param.flagKind, name, primitiveType: asWritten(type) })
