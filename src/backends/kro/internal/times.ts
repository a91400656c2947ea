/** Times of Kubernetes objects. */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"

/** Milliseconds since 1970; NaN, which compares with nothing, for what is no time. */
export const epochMillis = (text: string): number =>
  Option.match(DateTime.make(text), { onNone: () => Number.NaN, onSome: DateTime.toEpochMillis })
