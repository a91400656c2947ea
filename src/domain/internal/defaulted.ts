import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** A field that may be left out, in code and in JSON alike, with one default for both. */
export const defaulted =
  <S extends Schema.Constraint & Schema.WithoutConstructorDefault>(value: S["Type"] & S["~type.make.in"]) =>
  (schema: S) =>
    Schema.withConstructorDefault<Schema.withDecodingDefaultTypeKey<S>>(Effect.succeed(value))(
      Schema.withDecodingDefaultTypeKey<S>(Effect.succeed(value))(schema)
    )
