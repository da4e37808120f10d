/** The user's input is at fault: `message` names the mistake, `hint` what to do. Anything else that is thrown is the builder's own fault. */
export class BuildFailure extends Error {
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.name = "BuildFailure";
    this.hint = hint;
  }
}
