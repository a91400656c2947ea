/** An access as a kubeconfig, for other processes. JSON, which is YAML. */
import * as Effect from "effect/Effect"
import type { ClusterAccess } from "../../../backends/kubernetes/ClusterAccess.ts"

export const kubeconfigOf = (access: ClusterAccess): Effect.Effect<string> =>
  Effect.map(Effect.orDie(access.headers(false)), (headers) => {
    const { ca, cert, key, rejectUnauthorized, servername } = access.tls
    const bearer = /^Bearer (.*)$/.exec(String(headers.authorization ?? ""))?.[1]
    const encoded = (value: string | Buffer) => Buffer.from(value).toString("base64")
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "it",
      contexts: [{ name: "it", context: { cluster: "it", user: "it", namespace: access.namespace } }],
      clusters: [
        {
          name: "it",
          cluster: {
            server: access.server,
            ...(ca === undefined ? {} : { "certificate-authority-data": encoded(ca) }),
            ...(servername === undefined ? {} : { "tls-server-name": servername }),
            ...(rejectUnauthorized === false ? { "insecure-skip-tls-verify": true } : {}),
            ...(access.proxy === undefined ? {} : { "proxy-url": access.proxy })
          }
        }
      ],
      users: [
        {
          name: "it",
          user: {
            ...(bearer === undefined ? {} : { token: bearer }),
            ...(cert === undefined ? {} : { "client-certificate-data": encoded(cert) }),
            ...(key === undefined ? {} : { "client-key-data": encoded(key) })
          }
        }
      ]
    })
  })
