import { defaultExclude, defineConfig } from "vitest/config"

/** Lets `import ... from "jobscope/..."` in tests and examples find src instead of a build. */
const conditions = ["@jobscope/source", "module", "node", "development|production"]

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    // Real clusters: `npm run test:cluster`.
    exclude: [...defaultExclude, "test/cluster/**"],
    setupFiles: ["vitest.setup.ts"],
    globalSetup: ["vitest.globalSetup.ts"],
    pool: "forks",
    // Tests start processes and wait for them: generous, because a time-out here only means "hangs", on any machine.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    slowTestThreshold: 2_000
  }
})
