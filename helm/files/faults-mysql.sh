# The user who makes faults of MySQL, where such faults are allowed: it may end the server, and nothing else. The script that
# starts the image reads this file when it creates the data. That of the public images has the function docker_process_sql.
run=docker_process_sql
declare -F "$run" >/dev/null || run="mysql --protocol=socket --user=root"
password=${MYSQL_PASSWORD_FAULTS//\\/\\\\}
$run --database=mysql <<SQL
CREATE USER faults IDENTIFIED BY '${password//\'/\'\'}';
GRANT SHUTDOWN ON *.* TO faults;
SQL
