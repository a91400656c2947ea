/** Objects with names of chance. */
import * as Effect from "effect/Effect"
import type { KubeClient } from "../../kubernetes/KubeClient.ts"
import type { KubeError } from "../../kubernetes/KubeError.ts"
import type { KubeResource } from "../../kubernetes/KubeResource.ts"

/**
 * Creates an object whose name nobody else can have chosen: where the connection broke before the answer it is created again, and what is there
 * already was made by the attempt before.
 */
export const createNamed = <A>(
  kube: KubeClient["Service"],
  resource: KubeResource<A>,
  namespace: string,
  body: A & { readonly metadata?: { readonly name?: string } }
): Effect.Effect<A, KubeError> =>
  kube
    .request({ verb: "create", resource, namespace, body, idempotent: true })
    .pipe(
      Effect.catchReason("KubeError", "AlreadyExists", () =>
        kube.request({ verb: "get", resource, namespace, name: body.metadata?.name ?? "" })
      )
    )
