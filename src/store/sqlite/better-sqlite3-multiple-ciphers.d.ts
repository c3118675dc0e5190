/** The part of the SQLite binding this engine uses. The package's own types are not reachable through its `exports`. */
declare module 'better-sqlite3-multiple-ciphers' {
  namespace Database {
    interface RunResult {
      readonly changes: number;
      readonly lastInsertRowid: number | bigint;
    }
    interface Statement {
      /** True when it returns rows. */
      readonly reader: boolean;
      run(...values: unknown[]): RunResult;
      get(...values: unknown[]): unknown;
      all(...values: unknown[]): unknown[];
      /** Rows as arrays. */
      raw(on: boolean): this;
    }
    interface Database {
      readonly inTransaction: boolean;
      prepare(text: string): Statement;
      exec(text: string): this;
      pragma(text: string, options?: { readonly simple?: boolean }): unknown;
      key(key: Buffer): number;
      function(name: string, options: { readonly deterministic: boolean }, of: (...values: unknown[]) => unknown): this;
      close(): this;
    }
  }
  const Database: new (file: string, options?: { readonly timeout?: number }) => Database.Database;
  // The module is CommonJS: `module.exports` is the constructor.
  export = Database;
}
