/**
 * What survives the process: enough for another process, even another version of it, to adopt or release an environment.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { BackendError, HandleRejected } from "./JobError.ts"

/**
 * A serialisable reference to an environment. It holds no secrets.
 *
 * @category schemas
 */
export class EnvironmentHandle extends Schema.Class<EnvironmentHandle>("jobscope/EnvironmentHandle")({
  version: Schema.Literal(1),
  /** Name of the backend that provisioned it. */
  backend: Schema.NonEmptyString,
  environment: Schema.NonEmptyString,
  owner: Schema.NonEmptyString,
  /** The backend's own part. */
  data: Schema.Json
}) {}

/**
 * Reads a handle from JSON that another process wrote; a foreign or newer one is `HandleRejected`.
 *
 * @category decoding
 */
export const decode = (input: unknown): Effect.Effect<EnvironmentHandle, BackendError> =>
  Effect.mapError(
    Schema.decodeUnknownEffect(EnvironmentHandle)(input),
    (error) => new BackendError({ reason: new HandleRejected({ detail: error.message }) })
  )

/**
 * The JSON value to store; `decode` reads it back.
 *
 * @category encoding
 */
export const encode: (handle: EnvironmentHandle) => typeof EnvironmentHandle.Encoded =
  Schema.encodeSync(EnvironmentHandle)
