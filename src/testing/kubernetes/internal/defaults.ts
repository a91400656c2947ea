/** What a server adds to a pod before it stores it. */
import { at, isJson, type Json } from "./KubeObject.ts"

export const withPodDefaults = (body: Json): Json => {
  const spec = at(body, "spec")
  if (!isJson(spec)) return body
  const containers = (name: string) => {
    const given = spec[name]
    return Array.isArray(given) ? { [name]: given.map((one) => (isJson(one) ? withContainerDefaults(one) : one)) } : {}
  }
  return {
    ...body,
    spec: {
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      dnsPolicy: "ClusterFirst",
      serviceAccountName: "default",
      serviceAccount: spec.serviceAccountName ?? "default",
      schedulerName: "default-scheduler",
      securityContext: {},
      enableServiceLinks: true,
      ...spec,
      ...containers("initContainers"),
      ...containers("containers")
    },
    status: { phase: "Pending", qosClass: "BestEffort" }
  }
}

const withContainerDefaults = (container: Json): Json => ({
  imagePullPolicy: /:latest$|^[^:@]+$|\/[^:@]+$/.test(String(container.image)) ? "Always" : "IfNotPresent",
  resources: {},
  terminationMessagePath: "/dev/termination-log",
  terminationMessagePolicy: "File",
  ...container
})
