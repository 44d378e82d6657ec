// The memories of base/bounded.ts, under the name that the counting of attempts knows them by.
export { createBoundedMap, createWindowCounter } from '../base/bounded.ts'
