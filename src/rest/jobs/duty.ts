/** Work that one process of an installation does at a time, as the rooms that do it know it. */
import type { Command } from '../../store/port.ts';

export interface Duty {
  /** Other processes may have the same store. */
  readonly isShared: boolean;
  /** Whether it is this process's now. */
  isOurs(): boolean;
  /** Rises each time that a process begins with it, from 1. */
  term(): number;
  /** Belongs to every commit of the work: it conflicts once another process has taken over. Empty where there is no other. */
  fence(): readonly Command[];
}

/** The store is this process's alone. */
export const SOLE: Duty = { isShared: false, isOurs: () => true, term: () => 1, fence: () => [] };
