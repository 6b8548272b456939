/** A program that runs the app by itself and gives it a tenth of a second to stop. */
import { app } from './numbers-worker.ts';

const running = await app.start();
process.once('SIGTERM', () => {
  running.stop({ deadline: '100ms' }).then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${(error as { code?: string }).code}: ${(error as Error).message}\n`);
      process.exit(1);
    },
  );
});
