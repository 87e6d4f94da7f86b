// What the status page does by itself.
export {};
