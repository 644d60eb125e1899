// What the programs beside this share: each step is printed once it is done, and a refusal is one too.

export function done(step) {
  console.log(step);
}

export function check(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

/** Run what must be refused with one of these codes, and say so. */
export async function refused(step, codes, act) {
  try {
    await act();
  } catch (error) {
    const seen = [error.name, error.code, error.statusCode].map(String);
    check(codes.every((code) => seen.includes(String(code))), `${step}: ${seen.join(" ")} ${error.message}`);
    done(step);
    return;
  }
  throw new Error(`${step}: it was done`);
}
