import { Unavailable } from "./strategy.ts";

/** For `import("x").catch(notInstalled("x"))`. The import stays in the caller, so that a bundler finds it. */
export const notInstalled =
  (name: string) =>
  (error: unknown): never => {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")
      throw new Unavailable(`the npm package ${name} is not installed`);
    throw error;
  };
