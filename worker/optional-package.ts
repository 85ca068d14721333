import { Unavailable } from "./strategy.ts";

/** For `import("x").catch(notInstalled("x"))` of an optional package. Written out, so that a bundler finds the import. */
export const notInstalled =
  (name: string) =>
  (error: unknown): never => {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")
      throw new Unavailable(`the npm package ${name} is not installed`);
    throw error;
  };
