/** Driver errors as the port's. */
import {
  MongoAPIError,
  MongoClientClosedError,
  MongoError,
  MongoNotConnectedError,
  MongoServerError,
  MongoTopologyClosedError,
} from 'mongodb';
import { StoreError } from '../port.ts';

const MAX_TIME_EXPIRED = 50;

export const isTimeout = (error: unknown): boolean =>
  error instanceof MongoServerError && error.code === MAX_TIME_EXPIRED;

/** True for what says that the database is not there, not that a request is wrong. */
function isUnavailable(error: MongoError): boolean {
  if (error instanceof MongoServerError) {
    return error.hasErrorLabel('RetryableWriteError') || UNAVAILABLE.has(Number(error.code));
  }
  return !(error instanceof MongoAPIError) || CLOSED.some((closed) => error instanceof closed);
}

/** Of the errors of use those that say that the connection is gone. */
const CLOSED = [MongoClientClosedError, MongoNotConnectedError, MongoTopologyClosedError];

/** HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, ExceededTimeLimit, SocketException, NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary; WriteConcernTimeout, OutOfDiskSpace; Interrupted, CursorKilled, NoSuchTransaction: a session that was ended from outside. */
const UNAVAILABLE = new Set([
  ...[6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 64, 14031],
  ...[11601, 237, 251],
]);

/** @param tooCostly what an elapsed budget is; a read without one is `unavailable` */
export function storeError(error: unknown, tooCostly?: (cause: unknown) => StoreError): unknown {
  if (error instanceof StoreError || !(error instanceof MongoError)) return error;
  if (isTimeout(error))
    return tooCostly?.(error) ?? new StoreError('unavailable', 'The database is too slow.', { cause: error });
  return isUnavailable(error)
    ? new StoreError('unavailable', 'The database cannot be reached.', { cause: error })
    : error;
}
