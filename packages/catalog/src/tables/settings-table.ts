/** One setting a row; `value` is JSON. */
export interface SettingsTable {
  key: string;
  value: string;
}
