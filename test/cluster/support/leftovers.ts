/** What a namespace has of any job. */
import { Effect } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import { kube } from "./suiteNamespace.ts"

/** Names of pods and Secrets. */
export const left = (namespace: string): Promise<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const client = yield* KubeClient.KubeClient
    const pods = yield* client.list({ resource: KubeResource.pods, namespace })
    const secrets = yield* client.list({ resource: KubeResource.secrets, namespace })
    return [...pods.items, ...secrets.items].map(({ metadata }) => metadata?.name ?? "")
  }).pipe(Effect.provide(kube), Effect.runPromise)
