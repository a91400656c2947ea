import { defineConfig, mergeConfig } from "vitest/config"
import base from "./vitest.config.ts"

/** The suites that need a real Kubernetes: whatever cluster KUBECONFIG names. They mostly wait for pods, so two files run at a time. */
export default defineConfig(
  mergeConfig(
    { ...base, test: { ...base.test, include: [], exclude: [] } },
    defineConfig({
      test: {
        include: ["test/cluster/**/*.test.ts"],
        maxWorkers: 2,
        testTimeout: 180_000,
        hookTimeout: 300_000,
        passWithNoTests: true
      }
    })
  )
)
