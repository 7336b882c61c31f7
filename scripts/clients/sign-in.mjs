// Answers the node's pages, and prints where the app is sent back to: node sign-in.mjs URL NAME:PASSWORD [PATIENT]
import { Person } from "./person.mjs";

const [url, account, patient] = process.argv.slice(2);
console.log(await new Person(...account.split(":")).visit(url, { patient }));
