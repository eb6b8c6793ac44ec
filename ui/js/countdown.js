/** Counting down the seconds of a `Retry-After`. */

export class Countdown {
  /** @param {(secondsLeft: number) => void} onTick called at once, each second, and with 0 at the end */
  constructor(onTick) {
    this.onTick = onTick;
    this.left = 0;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
  }

  /** Begin, in place of one that runs; 0 ends it. @param {number} seconds */
  start(seconds) {
    clearInterval(this.timer);
    const end = performance.now() + seconds * 1000;
    let told = -1;
    const tick = () => {
      this.left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      if (!this.left) clearInterval(this.timer);
      if (this.left !== told) this.onTick((told = this.left));
    };
    this.timer = setInterval(tick, 250);
    tick();
  }
}
