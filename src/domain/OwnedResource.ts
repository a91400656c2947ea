/**
 * Anything that a backend made and that carries its mark: what `ps` shows, what the reaper removes, and what must be gone after
 * a release.
 */
import * as Schema from "effect/Schema"

/**
 * Who looks after an environment now.
 *
 * `held`: a living process, through a scope. `handed-over`: nobody by design, whoever has the handle will. `orphaned`: its
 * process is gone. `unknown`: the backend cannot tell.
 *
 * @category schemas
 */
export const Custody = Schema.Literals(["held", "handed-over", "orphaned", "unknown"])

/** @category models */
export type Custody = typeof Custody.Type

/** @category schemas */
export class OwnedResource extends Schema.Class<OwnedResource>("jobscope/OwnedResource")({
  backend: Schema.String,
  /** The backend's word for it: `Pod`, `Secret`, `Directory`, `Process`, … */
  kind: Schema.String,
  name: Schema.String,
  /** Name of the environment that it belongs to. */
  environment: Schema.String,
  /** The job's owner; empty where the mark that tells it is damaged. */
  owner: Schema.String,
  custody: Custody,
  /** Milliseconds since 1970. */
  createdAt: Schema.Finite
}) {}

/**
 * Which resources are meant: all of one owner, or of one environment.
 *
 * @category models
 */
export type Selector = { readonly owner: string } | { readonly environment: string }

/**
 * Whether a resource is among those selected; no selector selects all.
 *
 * @category guards
 */
export const matches = (
  resource: { readonly owner: string; readonly environment: string },
  selector: Selector | undefined
): boolean =>
  selector === undefined ||
  ("owner" in selector ? selector.owner === resource.owner : selector.environment === resource.environment)
